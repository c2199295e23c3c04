package container

import "golang.org/x/sys/unix"

const (
	auditArch  = unix.AUDIT_ARCH_AARCH64
	elfMachine = 183 // EM_AARCH64
)

// initCode takes the name that follows it, becomes non-dumpable, and waits.
const initCode = "" +
	"\xe8\x14\x80\xd2" + //       mov x8, 167 (prctl)
	"\xe0\x01\x80\xd2" + //       mov x0, 15 (PR_SET_NAME)
	"\xa1\x01\x00\x10" + //       adr x1, +52 (the name)
	"\x01\x00\x00\xd4" + //       svc 0
	"\xe8\x14\x80\xd2" + //       mov x8, 167 (prctl)
	"\x80\x00\x80\xd2" + //       mov x0, 4 (PR_SET_DUMPABLE)
	"\x01\x00\x80\xd2" + //       mov x1, 0
	"\x01\x00\x00\xd4" + //       svc 0
	"\x28\x09\x80\xd2" + // wait: mov x8, 73 (ppoll)
	"\x00\x00\x80\xd2" + //       mov x0, 0
	"\x01\x00\x80\xd2" + //       mov x1, 0
	"\x02\x00\x80\xd2" + //       mov x2, 0
	"\x03\x00\x80\xd2" + //       mov x3, 0
	"\x01\x00\x00\xd4" + //       svc 0
	"\xfa\xff\xff\x17" //         b wait
