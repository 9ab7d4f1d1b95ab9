// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// SUB: as ADD.
//
// The second table is subtracted.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%a: tensor<1x8x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "a"}, %b: tensor<1x8x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "b"})
      -> tensor<1x8x!quant.uniform<i8:f32, 1.0:7>> {
    %y = graph.sub %a, %b : tensor<1x8x!quant.uniform<i8:f32, 1.0:7>> loc("y")
    func.return %y : tensor<1x8x!quant.uniform<i8:f32, 1.0:7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi32>
// CHECK-NEXT:    %y = ftensor.lookup %a, %y_table : tensor<1x8xi32>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi32>
// CHECK-NEXT:    %y_1 = ftensor.lookup %b, %y_table_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_2 = ftensor.sub %y, %y_1 : tensor<1x8xi32>
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (50)> : tensor<i8>
// CHECK-NEXT:    %y_3 = ftensor.rescale %y_2, %y_multiplier, %y_shift {output_zp = 7, rounding = "double"} : tensor<1x8xi8>
// CHECK-NEXT:    func.return %y_3 : tensor<1x8xi8>
// CHECK:       #y_table = #graph.blob<"cdaae96b93bafb7513a115afb0dec0bd5640deed7dfd63ab6f3c1b997d4d8808">
// CHECK:       #y_table_1 = #graph.blob<"fc4210bf4866c59373dca2b1f1b3c61d3925cdce7c9a3e2fc8a14ce3b1ce075b">
