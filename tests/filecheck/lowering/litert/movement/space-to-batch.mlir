// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// SPACE_TO_BATCH_ND fills with the zero point.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x4x1x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<4x2x2x1x!quant.uniform<i8:f32, 0.5:3>> {
    %y = graph.space_to_batch %x {blocks = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>} : tensor<4x2x2x1x!quant.uniform<i8:f32, 0.5:3>> loc("y")
    func.return %y : tensor<4x2x2x1x!quant.uniform<i8:f32, 0.5:3>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reshape %x : tensor<1x2x2x2x2x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.transpose %y {perm = array<i64: 2, 4, 0, 1, 3, 5>} : tensor<2x2x1x2x2x1xi8>
// CHECK-NEXT:    %y_2 = ftensor.reshape %y_1 : tensor<4x2x2x1xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<4x2x2x1xi8>
