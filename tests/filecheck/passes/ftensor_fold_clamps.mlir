// RUN: furiosa-opt %s -p ftensor-fold-clamps | filecheck %s

// An activation is the range of the rescale before it.

func.func @clamp(%x : tensor<2x4xi32>, %m : tensor<i32>, %s : tensor<i8>) -> tensor<2x4xi8> {
  %0 = ftensor.rescale %x, %m, %s {output_zp = 3, rounding = "even"} : tensor<2x4xi8>
  %1 = ftensor.clamp %0 {minimum = 3, maximum = 127} : tensor<2x4xi8>
  %2 = ftensor.clamp %1 {minimum = -128, maximum = 99} : tensor<2x4xi8>
  func.return %2 : tensor<2x4xi8>
}
// CHECK-LABEL: func.func @clamp
// CHECK:         [[Y:%.+]] = ftensor.rescale %x, %m, %s {output_zp = 3, minimum = 3, maximum = 99
// CHECK-NEXT:    func.return [[Y]]
