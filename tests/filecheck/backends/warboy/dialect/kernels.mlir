// RUN: furiosa-opt %s --split-input-file --verify-diagnostics

func.func @head(%x : tensor<2xi8>) -> tensor<2xi8> {
  // expected-error @+1 {{warboy.dot: the body does not begin with ftensor.conv or ftensor.matmul}}
  %0 = warboy.dot %a = %x : tensor<2xi8> {
    warboy.yield %a
  }
  func.return %0 : tensor<2xi8>
}

// -----

func.func @body(%x : tensor<2xi8>) -> tensor<2x1xi8> {
  // expected-error @+1 {{warboy.vector: ftensor.reshape in the body}}
  %0 = warboy.vector %a = %x : tensor<2x1xi8> {
    %1 = ftensor.reshape %a : tensor<2x1xi8>
    warboy.yield %1
  }
  func.return %0 : tensor<2x1xi8>
}

// -----

func.func @arguments(%x : tensor<2xi8>) -> tensor<2xi8> {
  // expected-error @+1 {{warboy.vector: block arguments differ from the operands}}
  %0 = warboy.vector %x : tensor<2xi8> {
  ^bb0(%a : tensor<2xi8>, %b : tensor<2xi8>):
    warboy.yield %a
  }
  func.return %0 : tensor<2xi8>
}

// -----

func.func @outside(%x : tensor<2xi8>, %z : tensor<2xi8>) -> tensor<2xi8> {
  // expected-error @+1 {{warboy.vector: ftensor.add reads from outside the body}}
  %0 = warboy.vector %a = %x : tensor<2xi8> {
    %1 = ftensor.add %a, %z : tensor<2xi8>
    warboy.yield %1
  }
  func.return %0 : tensor<2xi8>
}

// -----

// The window's operand is the window engine's: what is to be added comes as an operand of its own.
func.func @taken(%x : tensor<1x2x2x1xi8>) -> tensor<1x2x2x1xi8> {
  // expected-error @+1 {{warboy.pool: ftensor.maximum reads what ftensor.reduce_window takes}}
  %0 = warboy.pool %a = %x : tensor<1x2x2x1xi8> {
    %1 = ftensor.reduce_window %a {kind = "max", layout = "NHWC", window = array<i64: 1, 1>, strides = array<i64: 1, 1>, x_zp = 0} : tensor<1x2x2x1xi8>
    %2 = ftensor.maximum %1, %a : tensor<1x2x2x1xi8>
    warboy.yield %2
  }
  func.return %0 : tensor<1x2x2x1xi8>
}
