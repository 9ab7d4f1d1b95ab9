// RUN: furiosa-opt %s -p graph-partition | filecheck %s

// %a and %b have the host's %g between them, but do not wait for it: one NPU segment, not two.

builtin.module attributes {graph.source = "onnx"} {
  func.func @main(%x: tensor<1x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "x"}, %f: tensor<1x4xf32> {graph.name = "f"})
      -> (tensor<1x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "y"}, tensor<1x4xf32> {graph.name = "g"}) {
    %a = graph.relu %x : tensor<1x4x!quant.uniform<i8:f32, 0.5>> loc("a")
    %g = graph.exp %f : tensor<1x4xf32> loc("g")
    %b = graph.sigmoid %a : tensor<1x4x!quant.uniform<i8:f32, 0.5>> loc("b")
    func.return %b, %g : tensor<1x4x!quant.uniform<i8:f32, 0.5>>, tensor<1x4xf32>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK-SAME:    (%x: tensor<1x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "x"}) -> (tensor<1x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "b"})
// CHECK-NEXT:    attributes {graph.placement = "npu"} {
// CHECK-NEXT:    %a = graph.relu %x : tensor<1x4x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT:    %b = graph.sigmoid %a : tensor<1x4x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT:    func.return %b : tensor<1x4x!quant.uniform<i8:f32, 0.5>>
// CHECK-LABEL: func.func private @host_1
// CHECK-SAME:    (%f: tensor<1x4xf32> {graph.name = "f"}) -> (tensor<1x4xf32> {graph.name = "g"}) attributes {graph.placement = "host"} {
// CHECK-NEXT:    %g = graph.exp %f attributes {graph.hint = [2 : i64, "Exp works on float data; quantise the network to int8"]} : tensor<1x4xf32>
// CHECK-NEXT:    func.return %g : tensor<1x4xf32>
// CHECK-LABEL: func.func @main
// CHECK-SAME:    (%x: tensor<1x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "x"}, %f: tensor<1x4xf32> {graph.name = "f"})
// CHECK-NEXT:    -> (tensor<1x4x!quant.uniform<i8:f32, 0.5>> {graph.name = "y"}, tensor<1x4xf32> {graph.name = "g"}) {
// CHECK-NEXT:    %0 = func.call @npu_0(%x) : (tensor<1x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<1x4x!quant.uniform<i8:f32, 0.5>>
// CHECK-NEXT:    %1 = func.call @host_1(%f) : (tensor<1x4xf32>) -> tensor<1x4xf32>
// CHECK-NEXT:    func.return %0, %1 : tensor<1x4x!quant.uniform<i8:f32, 0.5>>, tensor<1x4xf32>
