# The guest that Probe runs. It does once what an ordinary 64-bit kernel does all
# the time, reporting each step on port 0x10, and ends with step 0xff.
#
# It starts at 0x1000 as a PVH kernel does: 32-bit protected mode, flat segments,
# no paging. There are 64 KiB of memory. `go generate` turns this file into
# guest_linux_amd64.go.

	.set	code_at, 0x1000
	.set	pml4, 0x4000
	.set	pdpt, 0x5000
	.set	pd, 0x6000
	.set	idt, 0x7000
	.set	scratch, 0x8000
	.set	stack, 0x9000
	.set	fault_stack, 0xa000		# also that of system calls
	.set	user_stack, 0xb000
	.set	no_memory, 0x100000		# mapped, but nothing is there
	.set	alias, 0x40000000		# not mapped until the page fault handler does

	.macro	addr label, register		# the address at which label will be
	movl	$(\label - start + code_at), \register
	.endm
	.macro	step number
	movb	$\number, %al
	outb	%al, $0x10
	.endm
	.macro	check				# a failed step never ends
	jne	.
	.endm
	.macro	gate vector, handler, type	# interrupt gate
	addr	\handler, %eax
	movl	$(idt + 16 * \vector), %edi
	movw	%ax, (%rdi)
	movl	$(\type << 24 | 0x08), 2(%rdi)	# selector and type; the rest of the offset is 0
	.endm
	.macro	wrmsr_to number, low, high
	movl	$\number, %ecx
	movl	$\low, %eax
	movl	$\high, %edx
	wrmsr
	.endm

	.code32
start:
	step	1				# runs at all, port output
	cld
	xorl	%eax, %eax			# page tables, written by the guest
	movl	$pml4, %edi
	movl	$((scratch - pml4) / 4), %ecx
	rep stosl
	movl	$(pdpt + 7), pml4
	movl	$(pd + 7), pdpt
	movl	$0x87, pd			# the first 2 MiB
	movl	%cr4, %eax
	orl	$0x220, %eax			# PAE, OSFXSR
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		# EFER
	rdmsr
	orl	$0x101, %eax			# LME, SCE
	wrmsr
	movl	%cr0, %eax
	orl	$0x80010002, %eax		# PG, WP, MP
	movl	%eax, %cr0
	lgdtl	gdtr - start + code_at
	ljmpl	$0x08, $(long_mode - start + code_at)

	.code64
long_mode:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack, %esp
	movl	$0xc0000080, %ecx
	rdmsr
	andl	$0x500, %eax			# LME, LMA
	cmpl	$0x500, %eax
	check
	step	2				# paging and long mode, entered from inside

	movl	$0x80000001, %eax
	cpuid
	btl	$29, %edx			# long mode
	jnc	.
	step	3				# CPUID

	fninit
	movl	$0x12345678, %ebx
	movd	%ebx, %xmm0
	movd	%xmm0, %eax
	cmpl	%eax, %ebx
	check
	step	4				# FPU and SSE

	wrmsr_to 0xc0000100, scratch, 0		# FS base
	movl	%ebx, scratch
	cmpl	%fs:0, %ebx
	check
	step	5				# model-specific registers

	gate	6, invalid_opcode, 0x8e
	gate	14, page_fault, 0x8e
	gate	0x40, interrupt, 0x8e
	gate	0x80, end_of_user, 0xee		# may be called from user mode
	addr	idtr, %eax
	lidt	(%rax)
	movl	$0x28, %eax
	ltr	%ax
	xorl	%ebp, %ebp
	ud2
	cmpl	$6, %ebp
	check
	step	6				# an exception through its own table

	movl	%ebx, scratch
	cmpl	%ebx, alias + scratch		# faults, then reads scratch
	check
	cmpl	$14, %ebp
	check
	movq	%cr3, %rax
	movq	%rax, %cr3
	step	7				# a page fault, repaired

	movl	$no_memory, %edi
	movl	%ebx, (%rdi)			# the host sees it
	movl	(%rdi), %eax			# the host answers with the complement
	notl	%eax
	cmpl	%eax, %ebx
	check
	step	8				# memory-mapped I/O

	movl	$0x1b, %ecx			# APIC base: enable, in x2APIC mode
	rdmsr
	orl	$0xc00, %eax
	wrmsr
	wrmsr_to 0x80f, 0x1ff, 0		# spurious vector, software enable
	sti
	wrmsr_to 0x83f, 0x40, 0			# an interrupt to itself
1:	pause
	cmpl	$0x40, %ebp
	jne	1b
	cli
	step	9				# an interrupt

	wrmsr_to 0xc0000081, 0, 0x00100008	# STAR: kernel code 0x08, user 0x18 and 0x20
	addr	system_call, %eax
	xorl	%edx, %edx
	movl	$0xc0000082, %ecx		# LSTAR
	wrmsr
	pushq	$0x1b				# user data
	pushq	$user_stack
	pushq	$2				# flags
	pushq	$0x23				# user code
	addr	user, %eax
	pushq	%rax
	iretq
user:
	syscall
	int	$0x80
	jmp	.

system_call:
	swapgs
	movl	$0x5ca11, %ebp
	swapgs
	movl	$fault_stack, %esp
	pushq	%rcx
	popq	%rcx
	movl	$user_stack, %esp
	sysretq

end_of_user:					# on the stack that the task state names
	cmpl	$0x5ca11, %ebp
	check
	cmpq	$0x23, 8(%rsp)			# came from user mode
	check
	step	10				# user mode, system call
	step	0xff
	hlt

invalid_opcode:
	movl	$6, %ebp
	addq	$2, (%rsp)			# past ud2
	iretq

page_fault:
	movl	$14, %ebp
	movq	%cr2, %rax
	cmpq	$(alias + scratch), %rax
	check
	movl	$(pd + 7), pdpt + 8		# a second name for the first 2 MiB
	addq	$8, %rsp			# the error code
	iretq

interrupt:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	wrmsr_to 0x80b, 0, 0			# end of interrupt
	popq	%rdx
	popq	%rcx
	popq	%rax
	movl	$0x40, %ebp
	iretq

	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff		# 0x08 kernel code, 64 bits
	.quad	0x00cf93000000ffff		# 0x10 kernel data
	.quad	0x00cff3000000ffff		# 0x18 user data
	.quad	0x00affb000000ffff		# 0x20 user code, 64 bits
	.word	103, tss - start + code_at	# 0x28 task state
	.byte	0, 0x89, 0, 0
	.quad	0
gdtr:
	.word	gdtr - gdt - 1
	.long	gdt - start + code_at
	.long	0
idtr:
	.word	0x81 * 16 - 1
	.quad	idt
	.balign	8
tss:
	.long	0
	.quad	fault_stack			# stack for ring 0
						# the rest of it is 0, as all memory
