// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// DIV: one factor an element, tables of the dividend and of the divisor making it.
//
// Where a computed divisor is 0, LiteRT refuses to go on; here the quotient is that by one step.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 0.125:1>> {
    %y = graph.div %a, %b : tensor<1x8x!quant.uniform<i8:f32, 0.125:1>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 0.125:1>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y = ftensor.lookup %a, %y_table : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_1 = ftensor.lookup %a, %y_table_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_2 = ftensor.constant #y_table_2 : tensor<256xi32>
// CHECK-NEXT:    %y_2 = ftensor.lookup %b, %y_table_2 : tensor<1x8xi32>
// CHECK-NEXT:    %y_3 = ftensor.mul %y, %y_2 : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_3 = ftensor.constant #y_table_3 : tensor<256xi32>
// CHECK-NEXT:    %y_4 = ftensor.lookup %b, %y_table_3 : tensor<1x8xi32>
// CHECK-NEXT:    %y_5 = ftensor.mul %y_1, %y_4 : tensor<1x8xi32>
// CHECK-NEXT:    %y_6 = ftensor.add %y_3, %y_5 : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_4 = ftensor.constant #y_table_4 : tensor<256xi32>
// CHECK-NEXT:    %y_7 = ftensor.lookup %b, %y_table_4 : tensor<1x8xi32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (31)> : tensor<i8>
// CHECK-NEXT:    %y_8 = ftensor.rescale %y_6, %y_7, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_9 = ftensor.rescale %y_8, %y_multiplier, %y_shift {minimum = -2147483648, maximum = 2147483647, rounding = "up"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_5 = ftensor.constant #y_table_5 : tensor<256xi8>
// CHECK-NEXT:    %y_10 = ftensor.lookup %a, %y_table_5 : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_6 = ftensor.constant #y_table_6 : tensor<256xi8>
// CHECK-NEXT:    %y_11 = ftensor.lookup %a, %y_table_6 : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_7 = ftensor.constant #y_table_7 : tensor<256xi8>
// CHECK-NEXT:    %y_12 = ftensor.lookup %b, %y_table_7 : tensor<1x8xi8>
// CHECK-NEXT:    %y_13 = ftensor.mul %y_10, %y_12 : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_8 = ftensor.constant #y_table_8 : tensor<256xi8>
// CHECK-NEXT:    %y_14 = ftensor.lookup %b, %y_table_8 : tensor<1x8xi8>
// CHECK-NEXT:    %y_15 = ftensor.mul %y_11, %y_14 : tensor<1x8xi8>
// CHECK-NEXT:    %y_16 = ftensor.add %y_13, %y_15 : tensor<1x8xi8>
// CHECK-NEXT:    %y_table_9 = ftensor.constant #y_table_9 : tensor<256xi8>
// CHECK-NEXT:    %y_17 = ftensor.lookup %b, %y_table_9 : tensor<1x8xi8>
// CHECK-NEXT:    %y_18 = ftensor.add %y_16, %y_17 : tensor<1x8xi8>
// CHECK-NEXT:    %y_multiplier_1 = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
// CHECK-NEXT:    %y_shift_1 = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
// CHECK-NEXT:    %y_19 = ftensor.rescale %y_18, %y_multiplier_1, %y_shift_1 {input_zp = 31, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_20 = ftensor.sub %y_multiplier_1, %y_19 : tensor<1x8xi32>
// CHECK-NEXT:    %y_21 = ftensor.rescale %y_18, %y_multiplier_1, %y_shift_1 {input_zp = 32, minimum = 0, rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_22 = ftensor.rescale %y_9, %y_multiplier_1, %y_21 {minimum = -2147483648, maximum = 2147483647, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_23 = ftensor.rescale %y_9, %y_multiplier_1, %y_shift_1 {output_zp = 1, minimum = 0, maximum = 1, rounding = "floor"} : tensor<1x8xi32>
// CHECK-NEXT:    %y_24 = ftensor.add %y_22, %y_23 : tensor<1x8xi32>
// CHECK-NEXT:    %y_25 = ftensor.mul %y_9, %y_20 : tensor<1x8xi32>
// CHECK-NEXT:    %y_26 = ftensor.mul %y_24, %y_19 : tensor<1x8xi32>
// CHECK-NEXT:    %y_27 = ftensor.rescale %y_20, %y_multiplier_1, %y_shift_1 {rounding = "floor"} : tensor<1x8xi8>
// CHECK-NEXT:    %y_28 = ftensor.mul %y_18, %y_27 : tensor<1x8xi8>
// CHECK-NEXT:    %y_29 = ftensor.add %y_25, %y_26 : tensor<1x8xi32>
// CHECK-NEXT:    %y_30 = ftensor.rescale %y_29, %y_multiplier_1, %y_28 {output_zp = 1, rounding = "away"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_30 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"62f71caf7788780b85f03b874bc9182ec4c9250c2769a4193f2955959a8f5776">
// CHECK:       #y_table_1 = #graph.blob<"5ad006dd96d49d9ed3b0ce89cfb3142bc14fe35ea00b06f9845bcfbec5ed724b">
// CHECK:       #y_table_2 = #graph.blob<"6180e4c99a2f6066fe59639e4367850bcae2b74ddf77708d4735c50e648a9218">
// CHECK:       #y_table_3 = #graph.blob<"904353d41cf56363e5abbf0e764f40567d749e80d7230b8db56c59e8e38d6290">
// CHECK:       #y_table_4 = #graph.blob<"87a8f6ad0022440b1190a5000f7c49482148fca32964c00e9b5113c46706c5cb">
// CHECK:       #y_table_5 = #graph.blob<"6bd52c857e538b1e767af3549179f543e3d111898ff4977da194648d10065aa0">
// CHECK:       #y_table_6 = #graph.blob<"c0247e47bb730aaa2d4dcaef8237b9e3ba9de071ba5e47951d2ab68bb0be8086">
// CHECK:       #y_table_7 = #graph.blob<"030aeed009f7b757e1585792a7b87da82a1e483271c3fc6faac678dc279db176">
// CHECK:       #y_table_8 = #graph.blob<"0ac39ab32bacf2706deae47ba64c855d3c2bef4bd33271e0e841eb54ca2a6bad">
// CHECK:       #y_table_9 = #graph.blob<"c88fb0e6fef0adc7c88ab3f508e0c6a5967da56c24fb7b0aa9c213b1b0b98620">
