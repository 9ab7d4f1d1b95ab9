// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles" | filecheck %s --check-prefix=PLAN
// RUN: furiosa-opt %s -p "assign-target{npu=warboy},graph-partition,lower-to-ftensor,fuse-kernels,assign-views,plan-tiles,allocate,schedule" | filecheck %s

// All of it fits, and nothing else hides how long the argument is loaded and the result is stored: the
// kernel works column by column, over all rows and so in all slices, on what has come, and what it has
// made is stored meanwhile.

builtin.module attributes {graph.source = "tflite"} {
  func.func @main(%x: tensor<1x128x128x64x!quant.uniform<i8:f32, 0.5:3>> {graph.name = "x"})
      -> (tensor<1x128x128x64x!quant.uniform<i8:f32, 0.25:-5>> {graph.name = "y"}) {
    %w = graph.constant #graph.blob<i8 [64, 3, 3, 64] (1)> : tensor<64x3x3x64x!quant.uniform<i8:f32, 0.25>>
    %y = graph.conv %x, %w {layout = "NHWC", kernel_layout = "OHWI", pads = array<i64: 1, 1, 1, 1>} : tensor<1x128x128x64x!quant.uniform<i8:f32, 0.25:-5>> loc("y")
    func.return %y : tensor<1x128x128x64x!quant.uniform<i8:f32, 0.25:-5>>
  }
}

// PLAN:          stage = none)
// PLAN-NOT:      stage(
// PLAN:          tile = (1, 128, 32, 64)

// CHECK:         warboy.begin_run
// CHECK-NEXT:    [[A:%.+]] = warboy.load {source = dram_tile(region = "workspace", address = 0, extent = (1, 128, 64, 64)
// CHECK:         [[B:%.+]] = warboy.load {source = dram_tile(region = "workspace", address = 4096, extent = (1, 128, 32, 64)
// CHECK:         [[C:%.+]] = warboy.load {source = dram_tile(region = "workspace", address = 6144, extent = (1, 128, 32, 64)
// CHECK:         [[P:%.+]] = warboy.execute_dot after [[A]] {
// CHECK:         warboy.store after [[P]] {
// CHECK:         [[Q:%.+]] = warboy.execute_dot after [[B]] {
// CHECK:         warboy.store after [[Q]] {
// CHECK:         [[R:%.+]] = warboy.execute_dot after [[C]] {
// CHECK:         warboy.store after [[R]] {
// CHECK:         [[S:%.+]] = warboy.execute_dot {
// CHECK:         warboy.store after [[S]] {
