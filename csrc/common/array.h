#pragma once

// How an array argument crosses from Python, at a cost that a decode step of a small model can bear.
//
// nb::ndarray calls `__dlpack__`, which torch implements in Python: two microseconds for each tensor of each call.
// torch since 2.10 also offers DLPack's C exchange table, which fills a DLTensor in nanoseconds; Array uses it where
// the argument's type has it and falls back to nb::ndarray. Either way it owns a reference to what it views.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>

namespace moonlet {

namespace nb = nanobind;

// DLPackExchangeAPI of dlpack.h 1.3, as far as it is used here; functions we do not call are void pointers.
struct DlpackExchange {
    uint32_t major_version, minor_version;
    const DlpackExchange* older;
    void* allocate;
    void* managed_from_python;
    void* to_python;
    int (*borrow_from_python)(void* object, nb::dlpack::dltensor* out);  // may be null
    void* current_stream;
};

// The exchange table of an object's type, or null. The last type found is remembered (and kept alive): it is
// torch.Tensor.
static inline const DlpackExchange* dlpack_exchange(nb::handle object) {
    static PyTypeObject* known_type = nullptr;
    static const DlpackExchange* known_table = nullptr;
    PyTypeObject* type = Py_TYPE(object.ptr());
    if (type == known_type) return known_table;
    PyObject* capsule = PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__dlpack_c_exchange_api__");
    void* table = capsule != nullptr ? PyCapsule_GetPointer(capsule, "dlpack_exchange_api") : nullptr;
    Py_XDECREF(capsule);
    PyErr_Clear();
    const auto* found = static_cast<const DlpackExchange*>(table);
    if (found == nullptr || found->major_version != 1 || found->borrow_from_python == nullptr) return nullptr;
    Py_INCREF(reinterpret_cast<PyObject*>(type));
    known_type = type;
    known_table = found;
    return found;
}

// View is nb::ndarray<nb::ro> for what is read, nb::ndarray<> for what is written.
template <class View>
class Array {
  public:
    Array() = default;

    // False, with no Python error set, if the object is no array.
    bool assign(nb::handle object) {
        const DlpackExchange* exchange = dlpack_exchange(object);
        if (exchange != nullptr && exchange->borrow_from_python(object.ptr(), &tensor_) == 0) {
            owner_ = nb::borrow(object);
            return true;
        }
        PyErr_Clear();
        View view;
        if (!nb::try_cast(object, view, false)) return false;
        tensor_.data = const_cast<void*>(static_cast<const void*>(view.data()));
        tensor_.device = {view.device_type(), view.device_id()};
        tensor_.ndim = static_cast<int32_t>(view.ndim());
        tensor_.dtype = view.dtype();
        tensor_.shape = const_cast<int64_t*>(view.shape_ptr());
        tensor_.strides = const_cast<int64_t*>(view.stride_ptr());
        tensor_.byte_offset = 0;
        view_ = view;
        return true;
    }

    void* data() const { return static_cast<char*>(tensor_.data) + tensor_.byte_offset; }
    nb::dlpack::dtype dtype() const { return tensor_.dtype; }
    int device_type() const { return tensor_.device.device_type; }
    size_t ndim() const { return static_cast<size_t>(tensor_.ndim); }
    const int64_t* shape_ptr() const { return tensor_.shape; }
    const int64_t* stride_ptr() const { return tensor_.strides; }

  private:
    nb::dlpack::dltensor tensor_;
    nb::object owner_;
    View view_;
};

}  // namespace moonlet

namespace nanobind::detail {

template <class View>
struct type_caster<moonlet::Array<View>> {
    NB_TYPE_CASTER(moonlet::Array<View>, const_name("array"))
    bool from_python(handle source, uint32_t, cleanup_list*) noexcept { return value.assign(source); }
};

}  // namespace nanobind::detail
