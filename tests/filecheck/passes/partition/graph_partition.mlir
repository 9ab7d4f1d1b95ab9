// RUN: furiosa-opt %s -p graph-partition | filecheck %s

// The network is cut into segments, as few as can be: what has a lowering goes to the NPU, the rest to
// the host, with a hint (number and sentence) that says why. Exp takes what was quantised, but its
// result is not.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x4xf32> {graph.name = "y"}) {
    %a = graph.relu %x : tensor<1x4x!quant.uniform<i8:f32, 0.25>> loc("a")
    %b = graph.dequantize %a : tensor<1x4xf32> loc("b")
    %c = graph.exp %b : tensor<1x4xf32> loc("c")
    func.return %c : tensor<1x4xf32>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK-SAME:    (%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"}) -> (tensor<1x4x!quant.uniform<i8:f32, 0.25>> {graph.name = "a"})
// CHECK-NEXT:    attributes {graph.placement = "npu"} {
// CHECK-NEXT:    %a = graph.relu %x : tensor<1x4x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    func.return %a : tensor<1x4x!quant.uniform<i8:f32, 0.25>>
// CHECK-LABEL: func.func private @host_1
// CHECK-SAME:    (%a: tensor<1x4x!quant.uniform<i8:f32, 0.25>> {graph.name = "a"}) -> (tensor<1x4xf32> {graph.name = "c"})
// CHECK-NEXT:    attributes {graph.placement = "host"} {
// CHECK-NEXT:    %b = graph.dequantize %a attributes {graph.hint = [5 : i64, "DequantizeLinear of float data runs on the host; exchange int8 data with the network"]}
// CHECK-NEXT:    : tensor<1x4xf32>
// CHECK-NEXT:    %c = graph.exp %b attributes {graph.hint = [6 : i64,
// CHECK-NEXT:    "Exp takes quantised data, but its result is not quantised; put a QuantizeLinear behind it, or leave it to the host"]} : tensor<1x4xf32>
// CHECK-NEXT:    func.return %c : tensor<1x4xf32>
// CHECK-LABEL: func.func @main
// CHECK-SAME:    (%x: tensor<1x4x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"}) -> (tensor<1x4xf32> {graph.name = "y"}) {
// CHECK-NEXT:    %0 = func.call @npu_0(%x) : (tensor<1x4x!quant.uniform<i8:f32, 0.5:3>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.25>>
// CHECK-NEXT:    %1 = func.call @host_1(%0) : (tensor<1x4x!quant.uniform<i8:f32, 0.25>>) -> tensor<1x4xf32>
// CHECK-NEXT:    func.return %1 : tensor<1x4xf32>
