// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The way back: reshape, transpose, reshape.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x1x4x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x2x2x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.space_to_depth %x {blocksize = 2, mode = "DCR", layout = "NCHW"} : tensor<1x4x2x2x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<1x4x2x2x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reshape %x : tensor<1x1x2x2x2x2xi8>
// CHECK-NEXT:    %y_1 = ftensor.transpose %y {perm = array<i64: 0, 3, 5, 1, 2, 4>} : tensor<1x2x2x1x2x2xi8>
// CHECK-NEXT:    %y_2 = ftensor.reshape %y_1 : tensor<1x4x2x2xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x4x2x2xi8>
