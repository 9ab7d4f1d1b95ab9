// RUN: furiosa-opt %s -p graph-partition,lower-to-ftensor | filecheck %s

// An NPU segment takes and returns int8: uint8 data has its top bit flipped, by a `storage_cast` in
// @main, and the zero points are 128 less within. What the outside sees stays in the attributes of
// arguments and results.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<u8:f32, 0.5:131>> {graph.name = "x"})
      -> (tensor<1x4x!quant.uniform<u8:f32, 0.25:123>> {graph.name = "y"}) {
    %y = graph.relu %x : tensor<1x4x!quant.uniform<u8:f32, 0.25:123>> loc("y")
    func.return %y : tensor<1x4x!quant.uniform<u8:f32, 0.25:123>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK-SAME:    (%x: tensor<1x4xi8> {graph.name = "x", graph.dtype = "uint8", graph.scale = 5.000000e-01 : f64, graph.zero_point = 131 : i64})
// CHECK-NEXT:    -> (tensor<1x4xi8> {graph.name = "y", graph.dtype = "uint8", graph.scale = 2.500000e-01 : f64, graph.zero_point = 123 : i64})
// CHECK-NEXT:    attributes {graph.placement = "npu", graph.operators = {y = "relu"}} {
// CHECK-NEXT:    %y_multiplier = ftensor.constant #graph.blob<i32 [] (1073741824)> : tensor<i32>
// CHECK-NEXT:    %y_shift = ftensor.constant #graph.blob<i8 [] (29)> : tensor<i8>
// CHECK-NEXT:    %y = ftensor.rescale %x, %y_multiplier, %y_shift {input_zp = 3, output_zp = -5, minimum = -5, rounding = "double"} : tensor<1x4xi8>
// CHECK-NEXT:    func.return %y : tensor<1x4xi8>
// CHECK-LABEL: func.func @main
// CHECK-SAME:    (%x: tensor<1x4x!quant.uniform<u8:f32, 0.5:131>> {graph.name = "x"}) -> (tensor<1x4x!quant.uniform<u8:f32, 0.25:123>> {graph.name = "y"}) {
// CHECK-NEXT:    %0 = graph.storage_cast %x : tensor<1x4xi8>
// CHECK-NEXT:    %1 = func.call @npu_0(%0) : (tensor<1x4xi8>) -> tensor<1x4xi8>
// CHECK-NEXT:    %2 = graph.storage_cast %1 : tensor<1x4x!quant.uniform<u8:f32, 0.25:123>>
// CHECK-NEXT:    func.return %2 : tensor<1x4x!quant.uniform<u8:f32, 0.25:123>>
