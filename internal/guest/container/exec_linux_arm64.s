#include "go_asm.h"
#include "textflag.h"

#define SYS_clone3 435
#define SYS_exit_group 94

// func run(clone *cloneArgs, calls *call) int
//
// The kernel preserves all registers but R0, so R19 still points to the calls in
// the child. The child never touches the stack: it is the parent's.
TEXT ·run(SB), NOSPLIT, $0-24
	MOVD clone+0(FP), R0
	MOVD $cloneArgs__size, R1
	MOVD calls+8(FP), R19
	MOVD $SYS_clone3, R8
	SVC
	CBZ R0, child
	MOVD R0, ret+16(FP)
	RET

child:
	MOVD call_number(R19), R8
	MOVD (call_args+0)(R19), R0
	MOVD (call_args+8)(R19), R1
	MOVD (call_args+16)(R19), R2
	MOVD (call_args+24)(R19), R3
	MOVD (call_args+32)(R19), R4
	MOVD (call_args+40)(R19), R5
	SVC
	MOVD R0, call_result(R19)
	CMN $4095, R0
	BCC next
	NEG R0, R0
	CMP $64, R0
	BHS stop
	MOVD call_tolerated(R19), R1
	LSR R0, R1, R1
	TBZ $0, R1, stop

next:
	ADD $call__size, R19
	B child

stop:
	MOVD $127, R0
	MOVD $SYS_exit_group, R8
	SVC
	B stop
