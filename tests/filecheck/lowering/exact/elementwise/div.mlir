// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// One division of integers, of (a - a_zp) * N * sign(b) by |b - b_zp| * D.
//
// N / D is a_scale / (b_scale * result_scale). x / 0 saturates, 0 / 0 is 0: what is stored of
// infinities and of NaN.
//
// Three tables: (a - a_zp) * N, the sign of b's difference, and |b - b_zp| * D.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.125:1>> {
    %y = graph.div %a, %b : tensor<1x8x!quant.uniform<i8:f32, 0.125:1>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.125:1>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y = ftensor.lookup %a, %y_table : tensor<1x8xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_1 = ftensor.lookup %b, %y_table_1 : tensor<1x8xi48>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi48>
// CHECK-NEXT:    %y_2 = ftensor.lookup %b, %y_table_2 : tensor<1x8xi48>
// CHECK-NEXT:    %y_3 = ftensor.mul %y, %y_1 : tensor<1x8xi48>
// CHECK-NEXT:    %y_4 = ftensor.divide %y_3, %y_2 {output_zp = 1} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_4 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"7f6288b7f6dd6608fed092389b071a0b0c7043f645b8e9940e76871e0e823e67">
// CHECK:       #y_table_1 = #graph.blob<"94fc1d78df27327f93155ffef7acf13fc1520fe65e1ccd64be18f673522565c9">
// CHECK:       #y_table_2 = #graph.blob<"99f5b6042542a87448f75c8e8f603866d3e17fc3124c01b1b3d358d54ffa8253">
