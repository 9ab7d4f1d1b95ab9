// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// Q(min(a, b)) = min(Q(a), Q(b)).
//
// Both operands go through a table to the result's quantisation first.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.5>> {
    %y = graph.minimum %a, %b : tensor<1x8x!quant.uniform<i8:f32, 0.5>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %a, %y_table : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi8>
// CHECK-NEXT:    %y_1 = ftensor.lookup %b, %y_table_1 : tensor<1x8xi8>
// CHECK-NEXT:    %y_2 = ftensor.minimum %y, %y_1 : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_2 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"e2061a8fbf260abd0ceef3762ced5dee1e2cb662ccbf3e8006de406dc9fb745b">
// CHECK:       #y_table_1 = #graph.blob<"fb2d34b2a8fa1f73bd955e0bdde31b194df16e8eccdbf39c3eb8baf5589680dd">
