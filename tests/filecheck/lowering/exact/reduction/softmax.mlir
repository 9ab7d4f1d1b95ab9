// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// exp by table in fixed point, summed in i48, one integer division.
//
// With d = x - max in [-255, 0], two tables hold exp(beta * scale * d) * 2**F, one of them over the
// result's scale: the quotient of an entry and the sum is the stored result. F leaves 47 bits for
// both; the quotient's error is below 2**-30 of a step for up to 2**10 elements.
//
// The greatest element is subtracted, so 256 entries of exp are enough.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.125:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>> {
    %y = graph.softmax %x {axis = 1} : tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.00390625:-128>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce %x {kind = "max", axes = array<i64: 1>} : tensor<1x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.sub %x, %y : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = 127, rounding = "even"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table : tensor<1x8xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_4 = ftensor.lookup %y_2, %y_table_1 : tensor<1x8xi48>
// CHECK-NEXT:    %y_5 = ftensor.reduce %y_4 {kind = "sum", axes = array<i64: 1>} : tensor<1x1xi48>
// CHECK-NEXT:    %y_6 = ftensor.divide %y_3, %y_5 {output_zp = -128} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_6 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"fee149447cdb22522f2bb221f0ced1a608fb86cfdba3438e2cf2455d77a70261">
// CHECK:       #y_table_1 = #graph.blob<"774f780cfc801d00e09d047e487f8af43a5bacd5639bb6dbedbc02a3f2b75f1b">
