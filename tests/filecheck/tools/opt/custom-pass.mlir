// RUN: furiosa-opt %s --load %S/../../../../examples/custom_pass/drop_double_transpose.py -p my-drop-double-transpose | filecheck %s

// A plug-in's pass runs by its name.

// CHECK: func.func @main
// CHECK-NOT: graph.transpose
// CHECK: func.return %x
func.func @main(%x: tensor<2x3x4xf32> {graph.name = "x"}) -> (tensor<2x3x4xf32> {graph.name = "y"}) {
  %1 = "graph.transpose"(%x) <{perm = array<i64: 0, 2, 1>}> : (tensor<2x3x4xf32>) -> tensor<2x4x3xf32>
  %2 = "graph.transpose"(%1) <{perm = array<i64: 0, 2, 1>}> : (tensor<2x4x3xf32>) -> tensor<2x3x4xf32>
  func.return %2 : tensor<2x3x4xf32>
}
