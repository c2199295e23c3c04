# `make help` says what can be made. Everything but `kernel`, `base`, `disk` and
# `generate` needs only Go; what else is missing is installed on Debian.

GO ?= go
# grpcnotrace leaves out gRPC's debug pages, and a quarter of the binary with them.
TAGS := grpcnotrace
# Version control is not asked: it may refuse to answer in another user's tree.
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -tags $(TAGS) -ldflags '-s -w'

.DEFAULT_GOAL := build

.PHONY: run
run: build ## run a first command in a box
	@scripts/install-engine bin/boxlite
	bin/boxlite info
	bin/boxlite run --rm boxlite/base uname -sr

.PHONY: build
build: agent ## build bin/boxlite
	$(BUILD) -o bin/boxlite ./cmd/boxlite

.PHONY: test
test: build ## run all tests; installs what they need
	scripts/install-test-deps
	scripts/test

.PHONY: test-kvm
test-kvm: agent ## run boxes and tests on KVM, emulated where there is none
	scripts/install-packages qemu-system-x86 busybox-static e2fsprogs
	$(GO) test -count 1 -timeout 60m -tags $(TAGS) -v ./test/kvmlab

.PHONY: soak
soak: build ## kill, fill and damage at random for 100 rounds; stream 1 GiB
	scripts/install-test-deps
	BOXLITE_FAULT_ROUNDS=100 $(GO) test -count 1 -timeout 60m -tags $(TAGS) -v -run Rounds ./test/faults
	BOXLITE_TEST_INPUT_MIB=1024 $(GO) test -count 1 -timeout 60m -tags $(TAGS) -v -run TestCommandStreams/Input ./test/e2e

.PHONY: lint
lint: ## check formatting and run the linters
	scripts/lint

.PHONY: bench
bench: build ## measure speed and size against what they are compared to
	scripts/install-test-deps
	scripts/bench

.PHONY: bench-kvm
bench-kvm: agent ## measure our VMM beside QEMU on KVM, emulated where there is none
	scripts/install-packages qemu-system-x86 busybox-static e2fsprogs
	scripts/bench-kvm

.PHONY: guest
guest: ## build the guest agent and pack it for embedding
	$(GO) generate ./internal/assets

# The agent is committed. Whoever changes it must not test the old one.
.PHONY: agent
agent:
	@$(GO) run -buildvcs=false ./internal/assets/generate -if-stale

.PHONY: kernel
kernel: ## build the guest kernel (17 minutes on two cores)
	scripts/install-packages linux-source build-essential flex bison bc libelf-dev libssl-dev xz-utils zstd
	kernel/build.sh
	@$(MAKE) agent

.PHONY: base
base: ## build the base image
	scripts/install-packages zstd
	internal/assets/base/build.sh

.PHONY: disk
disk: ## make the empty disks
	scripts/install-packages e2fsprogs zstd
	internal/assets/disk/build.sh

.PHONY: generate
generate: ## make all generated Go code and the guest agent anew
	scripts/generate

.PHONY: docs
docs: ## write docs/cli, the pages of the commands, anew
	$(GO) test -count 1 -tags $(TAGS) -run TestDocsAreCurrent ./cmd/boxlite -update

.PHONY: man
man: ## write man pages to bin/man
	$(GO) test -count 1 -tags $(TAGS) -run TestManPages ./cmd/boxlite -man $(CURDIR)/bin/man

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist

.PHONY: help
help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile | expand -t 12
