package flatten

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"
)

const (
	xattrRecord = "SCHILY.xattr." // the PAX records that hold extended attributes

	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

type xattr struct{ name, value string }

// newXattrs returns the extended attributes among PAX records, sorted by name.
//
// Attributes that overlayfs keeps for itself are left out: the image becomes the
// lower layer of an overlay, where they would redirect or hide files.
func newXattrs(records map[string]string) ([]xattr, error) {
	var xattrs []xattr
	size := 0
	for key, value := range records {
		name, ok := strings.CutPrefix(key, xattrRecord)
		if !ok || !storable(name) {
			continue
		}
		if name == aclAccess || name == aclDefault {
			acl, err := diskACL(value)
			if err != nil {
				return nil, fmt.Errorf("attribute %s: %w", name, err)
			}
			value = acl
		}
		// An entry is a header of 16 bytes, the name and the value, both
		// padded to 4 bytes (ext4 disk layout, "Extended Attributes").
		size += 16 + (len(name)+3)&^3 + (len(value)+3)&^3
		xattrs = append(xattrs, xattr{name, value})
	}
	if size > maxXattrBytes {
		return nil, fmt.Errorf("its extended attributes take %d bytes, and %d is the most that ext4 can store", size, maxXattrBytes)
	}
	sort.Slice(xattrs, func(i, j int) bool { return xattrs[i].name < xattrs[j].name })
	return xattrs, nil
}

// maxXattrBytes is what one block holds beside its header and end mark.
const maxXattrBytes = 4096 - 32 - 4

func storable(name string) bool {
	if name == aclAccess || name == aclDefault {
		return true
	}
	if strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") {
		return false
	}
	for _, namespace := range []string{"user.", "trusted.", "security."} {
		if suffix, ok := strings.CutPrefix(name, namespace); ok {
			return suffix != "" && len(suffix) <= maxNameBytes
		}
	}
	return false
}

// diskACL turns an access control list as getxattr(2) returns it (version 2,
// eight bytes an entry) into ext4's own form (version 1, where entries that
// concern no particular user or group have no ID).
func diskACL(value string) (string, error) {
	const (
		userEntry  = 0x02 // ACL_USER
		groupEntry = 0x08 // ACL_GROUP
	)
	b := []byte(value)
	if len(b) < 4 || len(b)%8 != 4 || binary.LittleEndian.Uint32(b) != 2 {
		return "", errors.New("not an access control list")
	}
	disk := binary.LittleEndian.AppendUint32(nil, 1)
	for b = b[4:]; len(b) > 0; b = b[8:] {
		disk = append(disk, b[:4]...)
		if tag := binary.LittleEndian.Uint16(b); tag == userEntry || tag == groupEntry {
			disk = append(disk, b[4:8]...)
		}
	}
	return string(disk), nil
}
