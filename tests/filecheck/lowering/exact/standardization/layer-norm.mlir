// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// (n x - sum) / sqrt(n * sum of squares - sum**2 + eps) * scale + bias, rounded once.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x4x!quant.uniform<i8:f32, 0.03125>> {
    %g = graph.constant #graph.blob<f32 [4] (1.0, 1.0, 1.0, 1.0)> : tensor<4xf32>
    %b = graph.constant #graph.blob<f32 [4] (0.0, 0.0, 0.0, 0.0)> : tensor<4xf32>
    %y = graph.layer_norm %x, %g, %b {axis = 1, epsilon = 1.0e-05} : tensor<1x4x!quant.uniform<i8:f32, 0.03125>> loc("y")
    func.return %y : tensor<1x4x!quant.uniform<i8:f32, 0.03125>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi48>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x4xi48>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "sum", axes = [1]} : tensor<1x1xi48>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi48>
// CHECK-NEXT:    %y_2 = ftensor.lookup %x, %y_table_1 : tensor<1x4xi48>
// CHECK-NEXT:    %y_3 = ftensor.reduce %y_2 {kind = "sum", axes = [1]} : tensor<1x1xi48>
// CHECK-NEXT:    %y_4 = ftensor.mul %y_1, %y_1 : tensor<1x1xi48>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (4)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_5 = ftensor.rescale %y_3, %y_multiplier, %y_shift {minimum = -140737488355328, maximum = 140737488355327, rounding = "even"} : tensor<1x1xi48>
// CHECK-NEXT:    %y_6 = ftensor.sub %y_5, %y_4 : tensor<1x1xi48>
// CHECK-NEXT:    %y_b = ftensor.constant #graph.blob<i64 [] (0)> : tensor<i48>
// CHECK:         %y_b_9 = ftensor.constant #graph.blob<i64 [4] (0, 0, 0, 0)> : tensor<4xi48>
// CHECK-NEXT:    %y_107 = ftensor.add %y_106, %y_b_9 : tensor<1x4xi48>
// CHECK-NEXT:    %y_shift_11 = ftensor.constant #graph.blob<i8 [] (33)> : tensor<i8>
// CHECK-NEXT:    %y_108 = ftensor.rescale %y_107, %y_multiplier_2, %y_shift_11 {rounding = "near_even"} : tensor<1x4xi8>
// CHECK-NEXT:    func.return %y_108 : tensor<1x4xi8>
// CHECK:       #y_table = #graph.blob<"b5e19b07cace847b731d0a8b6ae2a1a32911c4b2c9f42cc37f1e5143fc9c4d4c">
// CHECK:       #y_table_1 = #graph.blob<"e9501b241022d017190941f4ecebc7a5bb51c6554e266ed1f16cd5ef3c2cfa51">
// CHECK:       #y_table_2 = #graph.blob<"715bbcb719393d7273bd8a9dfc5c2847d9b88c136bcd0f0d764a618d4b3c6d5e">
// CHECK:       #y_table_10 = #graph.blob<"5a17feda0d1a36be3c01c5b9f75359099d4048321277228e9bb7088a43db0aa5">
// CHECK:       #y_table_11 = #graph.blob<"992ac0e086970617283a5c628914bc0579c5d80138e403e3cc14f5d819b18b5b">
// CHECK:       #y_table_12 = #graph.blob<"6f7a8fffbb93621936ab1d3f9ebaef0c8b4272d2e8cb37b56c046b7aad0001f1">
// CHECK:       #y_table_13 = #graph.blob<"f7a6075d7bf9bb56fd66d2fe53b82c015a475a3b5beedf293b540e5a7bd9c46c">
// CHECK:       #y_table_14 = #graph.blob<"c2e009d1bd706924d1d71805eac204c352ff4deadc7abd104ebe3da506641547">
