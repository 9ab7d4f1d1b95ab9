// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// LOG_SOFTMAX: the difference less the logarithm of the sum, both in Q5.26.
//
// LiteRT accepts one quantisation of the result only: steps of 1/16, the zero point 127.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x8x!quant.uniform<i8:f32, 0.125:3>> {graph.name = "x"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.0625:127>> {
    %y = graph.log_softmax %x {axis = 1} : tensor<1x8x!quant.uniform<i8:f32, 0.0625:127>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.0625:127>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y = ftensor.reduce %x {kind = "max", axes = [1]} : tensor<1x1xi8>
// CHECK-NEXT:    %y_1 = ftensor.sub %x, %y : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_2 = ftensor.rescale %y_1, %y_multiplier, %y_shift {output_zp = 127, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table : tensor<1x8xi32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (12)> : tensor<i8>
// CHECK-NEXT:    %y_4 = ftensor.rescale %y_3, %y_multiplier, %y_shift_1 {minimum = -2147483648, maximum = 2147483647, rounding = "away"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_5 = ftensor.reduce %y_4 {kind = "sum", axes = [1]} : tensor<1x1xi32>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_6 = ftensor.lookup %y_2, %y_table_1 : tensor<1x8xi32>
// CHECK:         %y_75 = ftensor.rescale %y_74, %y_multiplier_2, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x1xi32>
// CHECK-NEXT:    %y_76 = ftensor.sub %y_6, %y_75 : tensor<1x8xi32>
// CHECK-NEXT:    %y_shift_8 = ftensor.constant #graph.blob<i8 [] (22)> : tensor<i8>
// CHECK-NEXT:    %y_77 = ftensor.rescale %y_76, %y_multiplier, %y_shift_8 {output_zp = 127, rounding = "away"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_77 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"3ea033b2826bbedad6be4cfeaa8f06a8e3443d9435cb6e9874a05a0835621b05">
// CHECK:       #y_table_1 = #graph.blob<"69529efd2b8ba931736071a028fec8156964958b84cd06a76d4763d7c7b49f92">
// CHECK:       #y_table_2 = #graph.blob<"8bf30c3c6deea56c4285b157ac27f2af79391fd0f4490c5ffc4e33f158d60c11">
// CHECK:       #y_table_3 = #graph.blob<"2e911689a06cd365e8b76589c49d5fbb5dba857fcaa1e9feae186c29f78eac10">
// CHECK:       #y_table_4 = #graph.blob<"ae3f4a8effa805f0d1ae6ca77409a7548809a6c4ae6ce538145db3c155fdaca2">
// CHECK:       #y_table_5 = #graph.blob<"f8729e4143ce473d7eee0707e40ae0dccfbeb0be877f0901026753e6949f0195">
// CHECK:       #y_table_6 = #graph.blob<"142a9dc7c921975c9061f1f6674796d367fac9c3d591340c36d6bef6530bd774">
// CHECK:       #y_table_7 = #graph.blob<"4abd1aa6e52db4f2a829796dbf9f02d40c42208e7e933acb6d1e17041686fb5d">
// CHECK:       #y_table_13 = #graph.blob<"a338294e57e67132122dae06cf75033cd7ba324421a7785db65dbdbbcc627a4a">
