// The extension module moonlet._kernels: the Runtime, the errors, and one bind_<op> for each folder of csrc/.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "common/errors.h"
#include "common/runtime.h"

namespace nb = nanobind;

namespace moonlet {

// One line for each file that binds something, in alphabetical order; called below in the same order.
void bind_block_experts(nb::module_& m);
void bind_ceiling(nb::module_& m);
void bind_draw(nb::module_& m);
void bind_int4_experts(nb::module_& m);
void bind_linear_blocks(nb::module_& m);
void bind_linear_float(nb::module_& m);
void bind_linear_int8(nb::module_& m);
void bind_mla(nb::module_& m);
void bind_mla_prepare(nb::module_& m);
void bind_patch_attention(nb::module_& m);
void bind_quantize(nb::module_& m);
void bind_rms_norm(nb::module_& m);
void bind_router(nb::module_& m);
void bind_silu_mul(nb::module_& m);

namespace {

void raise_as(const char* name, const char* message) {
    const nb::object type = nb::module_::import_("moonlet.errors").attr(name);
    PyErr_SetString(type.ptr(), message);
}

void translate(const std::exception_ptr& error, void*) {
    try {
        std::rethrow_exception(error);
    } catch (const ShapeError& e) {
        raise_as("ShapeError", e.what());
    } catch (const OptionError& e) {
        raise_as("OptionError", e.what());
    }
}

void bind_runtime(nb::module_& m) {
    nb::class_<Runtime>(m, "Runtime")
        .def(nb::init<int, const std::string&>(), nb::arg("num_threads"), nb::arg("isa"))
        .def_prop_ro("num_threads", &Runtime::num_threads)
        .def_prop_ro("isa", [](const Runtime& runtime) { return isa_name(runtime.isa()); });
    m.def("supported_isas", [] {
        std::vector<std::string> names;
        for (const Isa isa : supported_isas()) names.emplace_back(isa_name(isa));
        return names;
    });
}

}  // namespace
}  // namespace moonlet

NB_MODULE(_kernels, m) {
    m.doc() = "Compiled operations of moonlet; use them through moonlet.kernels, which states shapes and meaning.";
    nb::register_exception_translator(moonlet::translate);
    moonlet::bind_runtime(m);
    moonlet::bind_block_experts(m);
    moonlet::bind_ceiling(m);
    moonlet::bind_draw(m);
    moonlet::bind_int4_experts(m);
    moonlet::bind_linear_blocks(m);
    moonlet::bind_linear_float(m);
    moonlet::bind_linear_int8(m);
    moonlet::bind_mla(m);
    moonlet::bind_mla_prepare(m);
    moonlet::bind_patch_attention(m);
    moonlet::bind_quantize(m);
    moonlet::bind_rms_norm(m);
    moonlet::bind_router(m);
    moonlet::bind_silu_mul(m);
}
