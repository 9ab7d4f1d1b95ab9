// RUN: furiosa-opt %s -p ftensor-fuse-tables | filecheck %s

// x * sigmoid(x) as TFLite has it: the table of sigmoid, both less their zero points, a product, a
// rescale. The table holds what these compute.

func.func @silu(%x : tensor<2x4xi8>, %sigmoid : tensor<256xi8>) -> tensor<2x4xi8> {
  %one = ftensor.constant #graph.blob<i32 [] (1)> : tensor<i32>
  %zero = ftensor.constant #graph.blob<i8 [] (0)> : tensor<i8>
  %shift = ftensor.constant #graph.blob<i8 [] (5)> : tensor<i8>
  %s = ftensor.clamp %x {minimum = 0, maximum = 100} : tensor<2x4xi8>
  %a = ftensor.rescale %x, %one, %zero {input_zp = 3, minimum = -1024, maximum = 1023, rounding = "floor"} : tensor<2x4xi32>
  %b = ftensor.rescale %s, %one, %zero {input_zp = -128, minimum = -1024, maximum = 1023, rounding = "floor"} : tensor<2x4xi32>
  %p = ftensor.mul %a, %b : tensor<2x4xi32>
  %y = ftensor.rescale %p, %one, %shift {output_zp = 1, rounding = "double"} : tensor<2x4xi8>
  func.return %y : tensor<2x4xi8>
}
// CHECK-LABEL: func.func @silu
// CHECK:         [[T:%.+]] = ftensor.constant #constant{{.*}} : tensor<256xi8>
// CHECK-NEXT:    [[Y:%.+]] = ftensor.lookup %x, [[T]]
// CHECK-NEXT:    func.return [[Y]]

// Somebody else reads the value in between: it has to be made anyway.

func.func @shared(%x : tensor<4xi8>) -> (tensor<4xi8>, tensor<4xi8>) {
  %0 = ftensor.clamp %x {minimum = 0, maximum = 100} : tensor<4xi8>
  %1 = ftensor.clamp %0 {minimum = 7, maximum = 127} : tensor<4xi8>
  func.return %0, %1 : tensor<4xi8>, tensor<4xi8>
}
// CHECK-LABEL: func.func @shared
// CHECK:         ftensor.clamp %x
// CHECK-NEXT:    ftensor.clamp

// A factor for each channel is no number.

func.func @channels(%x : tensor<2x4xi8>, %m : tensor<4xi32>) -> tensor<2x4xi8> {
  %shift = ftensor.constant #graph.blob<i8 [] (5)> : tensor<i8>
  %0 = ftensor.clamp %x {minimum = 0, maximum = 100} : tensor<2x4xi8>
  %1 = ftensor.rescale %0, %m, %shift {output_zp = 1, rounding = "double"} : tensor<2x4xi8>
  func.return %1 : tensor<2x4xi8>
}
// CHECK-LABEL: func.func @channels
// CHECK:         ftensor.rescale
