// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Nearest: a gather along each axis. Linear: integer weights, one division at the end.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x1x2x2x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.resize %x {layout = "NCHW", mode = "nearest", coordinates = "asymmetric", nearest_mode = "floor", sizes = array<i64: 4, 4>, scales = array<f64: 2.0, 2.0>} : tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.gather %x {axis = 2, indices = array<i64: 0, 0, 1, 1>} : tensor<1x1x4x2xi8>
// CHECK-NEXT:    %y_1 = ftensor.gather %y {axis = 3, indices = array<i64: 0, 0, 1, 1>} : tensor<1x1x4x4xi8>
// CHECK-NEXT:    func.return %y_1 : tensor<1x1x4x4xi8>
