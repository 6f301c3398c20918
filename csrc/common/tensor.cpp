#include "common/tensor.h"

namespace moonlet {
namespace {

std::string dtype_name(nb::dlpack::dtype dtype) {
    const auto code = static_cast<nb::dlpack::dtype_code>(dtype.code);
    const std::string bits = std::to_string(dtype.bits);
    switch (code) {
        case nb::dlpack::dtype_code::Int:
            return "int" + bits;
        case nb::dlpack::dtype_code::UInt:
            return "uint" + bits;
        case nb::dlpack::dtype_code::Float:
            return "float" + bits;
        case nb::dlpack::dtype_code::Bfloat:
            return "bfloat" + bits;
        case nb::dlpack::dtype_code::Bool:
            return "bool";
        default:
            return "dtype " + std::to_string(dtype.code) + "/" + bits;
    }
}

std::string shape_text(const ArrayFacts& found) {
    std::string text = "[";
    for (size_t i = 0; i < found.ndim; ++i) text += (i != 0 ? ", " : "") + std::to_string(found.shape[i]);
    return text + "]";
}

bool is_contiguous(const ArrayFacts& found) {
    if (found.strides == nullptr) return true;
    int64_t expected = 1;
    for (size_t i = found.ndim; i-- > 0;) {
        if (found.shape[i] == 0) return true;
        if (found.shape[i] != 1 && found.strides[i] != expected) return false;
        expected *= found.shape[i];
    }
    return true;
}

}  // namespace

void check_array(const char* name, const ArrayFacts& found, nb::dlpack::dtype dtype,
                 std::initializer_list<Dim> expected) {
    bool same = found.ndim == expected.size();
    size_t axis = 0;
    for (const Dim& dim : expected) {
        if (!same) break;
        same = dim.matches(found.shape[axis++]);
    }
    if (!same) {
        std::string text;
        for (const Dim& dim : expected) text += (text.empty() ? "" : ", ") + dim.text();
        throw ShapeError(std::string(name) + ": shape " + shape_text(found) + ", expected [" + text + "]");
    }
    if (found.dtype != dtype) {
        throw ShapeError(std::string(name) + ": " + dtype_name(found.dtype) + ", expected " + dtype_name(dtype));
    }
    if (found.device_type != nb::device::cpu::value) {
        throw ShapeError(std::string(name) + ": not in CPU memory; move it with .cpu()");
    }
    if (!is_contiguous(found)) throw ShapeError(std::string(name) + ": not contiguous; call .contiguous() first");
}

}  // namespace moonlet
