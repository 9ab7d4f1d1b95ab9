// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// The least stored element, requantised if the scales differ.
//
// Reductions have a maximum only: the bits are flipped in front of it and behind.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x3x5x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> {
    %y = graph.reduce_min %x {axes = array<i64: 2>} : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>> loc("y")
    func.return %y : tensor<1x3x1x!quant.uniform<i8:f32, 2.0:-7>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         %y_table = ftensor.constant #y_table : tensor<256xi8>
// CHECK-NEXT:    %y = ftensor.lookup %x, %y_table : tensor<1x3x5xi8>
// CHECK-NEXT:    %y_1 = ftensor.reduce %y {kind = "max", axes = array<i64: 2>} : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_2 = ftensor.lookup %y_1, %y_table : tensor<1x3x1xi8>
// CHECK-NEXT:    %y_table_1 = ftensor.constant #y_table_1 : tensor<256xi8>
// CHECK-NEXT:    %y_3 = ftensor.lookup %y_2, %y_table_1 : tensor<1x3x1xi8>
// CHECK-NEXT:    func.return %y_3 : tensor<1x3x1xi8>
// CHECK:       #y_table = #graph.blob<"0888a4936162061b2caefc06dfbc70fe86f40e10d1c9e7cb2d34f7db7ee477be">
// CHECK:       #y_table_1 = #graph.blob<"e51a1699f0cfa982cd79200d6447577beaa388180eb62104bda9695f162f64b2">
