#pragma once

#include <stdexcept>

namespace moonlet {

// Becomes moonlet.errors.ShapeError in Python: a tensor has the wrong shape, type, place or layout.
struct ShapeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Becomes moonlet.errors.OptionError in Python: an option that this host cannot obey.
struct OptionError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace moonlet
