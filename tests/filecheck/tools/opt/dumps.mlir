// RUN: furiosa-opt %s -p graph-fold-constants --print-ir-before-all --print-ir-after-all 2>&1 \
// RUN:   | filecheck %s
// RUN: not furiosa-opt %s -p nothing 2>&1 | filecheck %s --check-prefix=UNKNOWN
// RUN: not furiosa-opt %s --to nowhere 2>&1 | filecheck %s --check-prefix=PHASE
// RUN: furiosa-opt --list-passes | filecheck %s --check-prefix=LIST

// CHECK: IR Dump Before graph-fold-constants
// CHECK: func.func @main
// CHECK: IR Dump After graph-fold-constants
// CHECK: func.func @main
// CHECK: func.func @main

// UNKNOWN: ERROR: there is no pass 'nothing'
// PHASE: ERROR: there is no phase 'nowhere' (there are: graph, ftensor, warboy)
// LIST: graph-fold-constants
// LIST: rules:
// LIST: phases of the pipeline 'warboy'
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  func.return %x : tensor<4xf32>
}
