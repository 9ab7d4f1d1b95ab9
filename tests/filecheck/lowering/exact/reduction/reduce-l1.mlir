// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The sum of |differences|, rescaled.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> {
    %y = graph.reduce_l1 %x {axes = array<i64: 2>} : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x3x5xi48>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = array<i64: 2>} : tensor<1x3x1xi48>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (32)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = -7, rounding = "near_even"} : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x3x1xi8>
// CHECK:       #y_table = #graph.blob<"02b9ea6c14e86300b5ebd135c70ac6a332c51ad2a467681a935c3af0c177ac98">
