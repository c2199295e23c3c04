#include "go_asm.h"
#include "textflag.h"

#define SYS_clone3 435
#define SYS_exit_group 231

// func run(clone *cloneArgs, calls *call) int
//
// The kernel preserves all registers but AX, CX and R11, so R12 still points to
// the calls in the child. The child never touches the stack: it is the parent's.
TEXT ·run(SB), NOSPLIT, $0-24
	MOVQ clone+0(FP), DI
	MOVQ $cloneArgs__size, SI
	MOVQ calls+8(FP), R12
	MOVQ $SYS_clone3, AX
	SYSCALL
	TESTQ AX, AX
	JEQ child
	MOVQ AX, ret+16(FP)
	RET

child:
	MOVQ call_number(R12), AX
	MOVQ (call_args+0)(R12), DI
	MOVQ (call_args+8)(R12), SI
	MOVQ (call_args+16)(R12), DX
	MOVQ (call_args+24)(R12), R10
	MOVQ (call_args+32)(R12), R8
	MOVQ (call_args+40)(R12), R9
	SYSCALL
	MOVQ AX, call_result(R12)
	CMPQ AX, $0xfffffffffffff001
	JCS next
	NEGQ AX
	CMPQ AX, $64
	JCC stop
	MOVQ call_tolerated(R12), CX
	BTQ AX, CX
	JCC stop

next:
	ADDQ $call__size, R12
	JMP child

stop:
	MOVQ $SYS_exit_group, AX
	MOVQ $127, DI
	SYSCALL
	JMP stop
