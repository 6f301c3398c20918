#pragma once

// Typed, checked views of the arrays Python hands over. A size is a symbol that must mean one number in every tensor of
// a call, so a wrong shape dies here, by name:
//
//     Size T{"T"}, K{"K"}, N{"N"};
//     const float* x_data = input<float>("linear_bf16: x", x, {T, K});              // binds T and K
//     const bf16* w_data = input<bf16>("linear_bf16: weight", weight, {N, K});      // binds N, checks K
//     float* out_data = output<float>("linear_bf16: out", out, {T, N});
//     ... {N, {"K/32", K / 32}} for a size that follows from others.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "common/array.h"
#include "common/bf16.h"
#include "common/errors.h"
#include "common/f16.h"

namespace nanobind::detail {
template <>
struct dtype_traits<moonlet::bf16> {
    static constexpr dlpack::dtype value{static_cast<uint8_t>(dlpack::dtype_code::Bfloat), 16, 1};
    static constexpr auto name = const_name("bfloat16");
};
template <>
struct dtype_traits<moonlet::f16> {
    static constexpr dlpack::dtype value{static_cast<uint8_t>(dlpack::dtype_code::Float), 16, 1};
    static constexpr auto name = const_name("float16");
};
}  // namespace nanobind::detail

namespace moonlet {

namespace nb = nanobind;

using Input = Array<nb::ndarray<nb::ro>>;
using Output = Array<nb::ndarray<>>;

// A symbol for a size: the first tensor that has it says what it is.
class Size {
  public:
    explicit Size(const char* symbol) : symbol_(symbol) {}
    Size(const Size&) = delete;
    Size& operator=(const Size&) = delete;
    operator int64_t() const { return value_; }
    bool bound() const { return value_ >= 0; }

  private:
    friend class Dim;
    const char* symbol_;
    int64_t value_ = -1;
};

// One dimension as expected: a symbol, or a number with the text that explains it.
class Dim {
  public:
    Dim(Size& size) : symbol_(size.symbol_), size_(&size) {}  // NOLINT: implicit
    Dim(const char* text, int64_t value) : symbol_(text), value_(value) {}
    bool matches(int64_t found) const {
        if (size_ != nullptr && !size_->bound()) size_->value_ = found;
        return found == expected();
    }
    std::string text() const {
        const int64_t value = expected();
        return value < 0 ? std::string(symbol_) : std::string(symbol_) + "=" + std::to_string(value);
    }

  private:
    int64_t expected() const { return size_ != nullptr ? size_->value_ : value_; }
    const char* symbol_;
    Size* size_ = nullptr;
    int64_t value_ = -1;
};

struct ArrayFacts {
    nb::dlpack::dtype dtype;
    int device_type;
    size_t ndim;
    const int64_t* shape;
    const int64_t* strides;
};

// Throws ShapeError unless the array is on the CPU, contiguous, of this dtype and shape.
void check_array(const char* name, const ArrayFacts& found, nb::dlpack::dtype dtype,
                 std::initializer_list<Dim> expected);

template <class T, class Array>
void check_array(const char* name, const Array& array, std::initializer_list<Dim> expected) {
    const ArrayFacts facts{array.dtype(), array.device_type(), array.ndim(), array.shape_ptr(), array.stride_ptr()};
    check_array(name, facts, nb::dtype<T>(), expected);
}

template <class T>
const T* input(const char* name, const Input& array, std::initializer_list<Dim> expected) {
    check_array<T>(name, array, expected);
    return static_cast<const T*>(array.data());
}

template <class T>
T* output(const char* name, const Output& array, std::initializer_list<Dim> expected) {
    check_array<T>(name, array, expected);
    return static_cast<T*>(array.data());
}

}  // namespace moonlet
