"""Values of an ONNX graph that is written down while Python computes with them."""

import numpy as np

from sktn.interchange.optional import imported

OPSET = 18
# What runtimes of the last years read.
_IR_VERSION = 9


class Graph:
    """Nodes and constants of a graph under construction.

    dtype : numpy dtype of its floating-point numbers
    """

    def __init__(self, dtype):
        self.onnx, self.dtype = imported("onnx", "onnx"), np.dtype(dtype)
        self.nodes, self.constants = [], []

    def constant(self, array):
        """An array; floating-point numbers in the graph's precision."""
        array = np.asarray(array)
        return self.as_it_is(array.astype(self.dtype) if array.dtype.kind == "f" else array)

    def as_it_is(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return Value(self, name)

    def op(self, kind, *inputs, **attributes):
        """The value of an operator; inputs are values, or arrays that become constants."""
        names = [v.name if isinstance(v, Value) else self.constant(v).name for v in inputs]
        out = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, names, [out], **attributes))
        return Value(self, out)

    def model(self, n_features, outputs):
        """outputs: dict of name to (value, numpy dtype, shape) -> onnx.ModelProto"""
        helper, named = self.onnx.helper, []
        for name, (value, dtype, shape) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value.name], [name]))
            named.append(helper.make_tensor_value_info(name, self.type_of(dtype), ["n", *shape]))
        table = helper.make_tensor_value_info("X", self.type_of(self.dtype), ["n", n_features])
        graph = helper.make_graph(self.nodes, "sktn", [table], named, self.constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="sktn",
        )
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def type_of(self, dtype):
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


class Value:
    """A tensor of a graph: its arithmetic adds nodes."""

    def __init__(self, graph, name):
        self.graph, self.name = graph, name

    def _with(self, kind, other, swapped=False):
        if not isinstance(other, Value):
            other = self.graph.constant(np.asarray(other, self.graph.dtype))
        return self.graph.op(kind, *((other, self) if swapped else (self, other)))

    def __add__(self, other):
        return self._with("Add", other)

    def __sub__(self, other):
        return self._with("Sub", other)

    def __mul__(self, other):
        return self._with("Mul", other)

    def __truediv__(self, other):
        return self._with("Div", other)

    def __matmul__(self, other):
        return self._with("MatMul", other)

    def __rsub__(self, other):
        return self._with("Sub", other, swapped=True)

    __radd__, __rmul__ = __add__, __mul__

    def reshape(self, *shape):
        return self.graph.op("Reshape", self, np.array(shape, np.int64))

    def sum(self, axis):
        return self.graph.op("ReduceSum", self, np.array([axis], np.int64), keepdims=0)

    def take(self, indices, axis):
        return self.graph.op("Gather", self, np.asarray(indices, np.int64), axis=axis)

    def where(self, condition, other):
        """This where a condition holds, the other elsewhere."""
        if not isinstance(other, Value):
            other = self.graph.constant(np.asarray(other, self.graph.dtype))
        return self.graph.op("Where", condition, self, other)

    def clip(self, low, high):
        """Bounds may be arrays."""
        low, high = (np.asarray(bound, self.graph.dtype) for bound in (low, high))
        return self.graph.op("Min", self.graph.op("Max", self, low), high)

    def exp(self):
        return self.graph.op("Exp", self)
