// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,split-batch" | filecheck %s
// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,split-batch,assign-views,plan-tiles" | filecheck %s --check-prefix PLAN

// Of two images the activations take 12 MiB twice, of the 16 MiB that one PE has; of one image both fit.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<2x320x320x64x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<2x160x160x64x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [64, 1, 1, 64] (1)> : tensor<64x1x1x64x!quant.uniform<i8:f32, 0.25>>
    %v = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI"} : tensor<2x320x320x64x!quant.uniform<i8:f32, 0.25:-5>> loc("v")
    %y = graph.conv %v, %w {layout = "NHWC", kernel_layout = "OHWI", strides = array<i64: 2, 2>} : tensor<2x160x160x64x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<2x160x160x64x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         [[A:%.+]] = ftensor.slice %x {starts = array<i64: 0, 0, 0, 0>, ends = array<i64: 1, 320, 320, 64>}
// CHECK:         [[B:%.+]] = warboy.dot {{%.+}} = [[A]],
// CHECK:         [[C:%.+]] = warboy.dot {{%.+}} = [[B]],
// CHECK:         [[D:%.+]] = ftensor.slice %x {starts = array<i64: 1, 0, 0, 0>, ends = array<i64: 2, 320, 320, 64>}
// CHECK:         [[E:%.+]] = warboy.dot {{%.+}} = [[D]],
// CHECK:         [[F:%.+]] = warboy.dot {{%.+}} = [[E]],
// CHECK:         [[Y:%.+]] = ftensor.concat [[C]], [[F]] {axis = 0} : tensor<2x160x160x64xi8>
// CHECK-NEXT:    func.return [[Y]]

// Neither taking an image from the argument nor putting it into the result moves anything.

// PLAN:          warboy.copy {{.*}} plan = #warboy.plan<copy_plan(operands = (0), result = {{[0-9]+}}, moves = ())>
// PLAN:          ftensor.slice
// PLAN:          warboy.copy {{.*}} plan = #warboy.plan<copy_plan(operands = (0), result = {{[0-9]+}}, moves = ())>
// PLAN:          ftensor.slice
// PLAN:          plan = #warboy.plan<copy_plan(operands = ({{[0-9]+}}, {{[0-9]+}}), result = {{[0-9]+}}, moves = ())>
// PLAN:          ftensor.concat
