// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,split-columns" | filecheck %s

// The result of the convolution would take 20 MiB of the 16 MiB that one PE has; the pool behind it reads it
// band by band. Of the image each band is a copy of its own, which moves nothing; the last columns of the
// convolution that the next band's windows read are kept.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x640x512x3x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x320x256x64x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [64, 3, 3, 3] (1)> : tensor<64x3x3x3x!quant.uniform<i8:f32, 0.25>>
    %v = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI", pads = array<i64: 1, 1, 1, 1>} : tensor<1x640x512x64x!quant.uniform<i8:f32, 0.25:-5>> loc("v")
    %y = graph.max_pool %v {layout = "NHWC", kernel_shape = array<i64: 3, 3>, strides = array<i64: 2, 2>, pads = array<i64: 1, 1, 0, 0>} : tensor<1x320x256x64x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x320x256x64x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// CHECK-LABEL: func.func private @npu_0
// CHECK:         [[A:%.+]] = warboy.copy %x_1 = %x {{.*}} : tensor<1x640x257x3xi8>
// CHECK-NEXT:      ftensor.slice %x_1 {starts = array<i64: 0, 0, 0, 0>, ends = array<i64: 1, 640, 257, 3>}
// CHECK:         [[B:%.+]] = warboy.dot %x_1 = [[A]],
// CHECK:           pads = array<i64: 1, 1, 1, 0>
// CHECK:         [[L:%.+]] = ftensor.slice [[B]] {starts = array<i64: 0, 0, 255, 0>, ends = array<i64: 1, 640, 256, 64>}
// CHECK-NEXT:    [[K:%.+]] = warboy.vector %value = [[L]]
// CHECK:         [[C:%.+]] = warboy.pool %x_1 = [[B]] {{.*}} : tensor<1x320x128x64xi8>
// CHECK:           pads = array<i64: 1, 1, 0, 0>
// CHECK:         [[M:%.+]] = warboy.vector %value = [[K]]
// CHECK:         [[D:%.+]] = warboy.copy %x_1 = %x {{.*}} : tensor<1x640x257x3xi8>
// CHECK-NEXT:      ftensor.slice %x_1 {starts = array<i64: 0, 0, 255, 0>, ends = array<i64: 1, 640, 512, 3>}
// CHECK:         [[E:%.+]] = warboy.dot %x_1 = [[D]],
// CHECK:           pads = array<i64: 1, 0, 1, 1>
// CHECK:         [[F:%.+]] = ftensor.concat [[M]], [[E]] {axis = 2}
// CHECK-NEXT:    [[G:%.+]] = warboy.pool %x_1 = [[F]] {{.*}} : tensor<1x320x128x64xi8>
// CHECK:           pads = array<i64: 1, 0, 0, 0>
// CHECK:         [[Y:%.+]] = ftensor.concat [[C]], [[G]] {axis = 2}
// CHECK-NEXT:    func.return [[Y]]
