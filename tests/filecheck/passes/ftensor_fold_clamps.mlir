// RUN: furiosa-opt %s -p ftensor-fold-clamps | filecheck %s

// An activation is the range of the rescale before it, also with a reshape (of a 1-D convolution) in between.

func.func @clamp(%x : tensor<2x1x4xi32>, %m : tensor<i32>, %s : tensor<i8>) -> tensor<2x4xi8> {
  %0 = ftensor.rescale %x, %m, %s {output_zp = 3, rounding = "even"} : tensor<2x1x4xi8>
  %1 = ftensor.clamp %0 {minimum = 3, maximum = 127} : tensor<2x1x4xi8>
  %2 = ftensor.reshape %1 : tensor<2x4xi8>
  %3 = ftensor.clamp %2 {minimum = -128, maximum = 99} : tensor<2x4xi8>
  func.return %3 : tensor<2x4xi8>
}
// CHECK-LABEL: func.func @clamp
// CHECK:         [[Y:%.+]] = ftensor.rescale %x, %m, %s {output_zp = 3, minimum = 3, maximum = 99
// CHECK-NEXT:    [[R:%.+]] = ftensor.reshape [[Y]]
// CHECK-NEXT:    func.return [[R]]

// Tables go along; where others read the reshape, all stay.

func.func @table(%x : tensor<2x1x4xi8>, %y : tensor<8xi8>, %t : tensor<256xi8>) -> (tensor<2x4xi8>, tensor<2x4xi8>, tensor<2x4xi8>) {
  %0 = ftensor.reshape %x : tensor<2x4xi8>
  %1 = ftensor.lookup %0, %t : tensor<2x4xi8>
  %2 = ftensor.reshape %y : tensor<2x4xi8>
  %3 = ftensor.lookup %2, %t : tensor<2x4xi8>
  func.return %1, %2, %3 : tensor<2x4xi8>, tensor<2x4xi8>, tensor<2x4xi8>
}
// CHECK-LABEL: func.func @table
// CHECK:         [[L:%.+]] = ftensor.lookup %x, %t
// CHECK-NEXT:    ftensor.reshape [[L]]
// CHECK-NEXT:    [[R:%.+]] = ftensor.reshape %y
// CHECK-NEXT:    ftensor.lookup [[R]], %t
