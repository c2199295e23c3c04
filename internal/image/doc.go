// Package image is the store of images: it fetches them from registries and
// files, keeps them, and turns each into one read-only root disk.
//
// A [Store] is a directory:
//
//	index.json           what is there: references, and the manifests they name
//	blobs/sha256/…       manifests, configurations and layers, named by digest
//	blobs/partial/…      downloads that were interrupted and can go on
//	disks/{digest}.ext4  root disks, named by the digest of the image's manifest
//	lock                 held briefly, while index.json changes or files are removed
//	locks/…              held while one blob is downloaded or one disk is built
//	tmp/…                one directory per operation in progress
//
// Several processes may have it open at once. Nothing in it is ever half
// written: files appear complete, by rename, and what a killed process leaves in
// tmp is removed by the next one.
//
// # Where images come from
//
//	alpine:3.20, ghcr.io/a/b@sha256:…   a registry
//	oci:DIR[:REF]                       an OCI image layout
//	docker-archive:FILE                 what `docker save` writes; - is standard input
//	rootfs:FILE                         a tar of a root filesystem, plain, gzip or zstd; - is standard input
//	boxlite/base                        the image that is part of the program
//
// All of it is hostile input. Sizes are bounded, and digests are checked before
// anything is believed. The content of layers never reaches the host's file
// system: package flatten writes it straight into the disk.
package image
