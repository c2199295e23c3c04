package archive

import "strconv"

const (
	blockSize = 512
	// The largest numbers that fit a header of ustar.
	maxOctal8  = 1<<21 - 1
	maxOctal12 = 1<<33 - 1
	maxName    = 100
)

// entry is one file for the header of a tar. archive/tar can't write sparse
// files.
type entry struct {
	kind         byte // of archive/tar: TypeReg and so on
	name, link   string
	mode         uint32 // permissions
	uid, gid     uint32
	size         int64 // of what follows the header
	seconds      int64
	nanos        int64
	major, minor uint32
	xattrs       []xattr
	// real is the size of a sparse file, or -1.
	real int64
}

type xattr struct {
	name  string
	value []byte
}

// appendHeader appends the headers of e: if needed one for a PAX record, then
// that of ustar. scratch is used for the record.
func appendHeader(to, scratch []byte, e *entry) (header, record []byte) {
	record = appendRecords(scratch[:0], e)
	if len(record) > 0 {
		x := entry{kind: 'x', name: "PaxHeaders/" + strconv.Itoa(len(record)), mode: 0o644, size: int64(len(record)), real: -1}
		to = appendUstar(to, &x)
		to = append(to, record...)
		to = appendPadding(to, int64(len(record)))
	}
	return appendUstar(to, e), record
}

// appendRecords appends the PAX records for what does not fit into ustar.
func appendRecords(to []byte, e *entry) []byte {
	if e.real >= 0 {
		to = appendRecord(to, "GNU.sparse.major", "1")
		to = appendRecord(to, "GNU.sparse.minor", "0")
		to = appendRecord(to, "GNU.sparse.name", e.name)
		to = appendRecord(to, "GNU.sparse.realsize", strconv.FormatInt(e.real, 10))
	} else if len(e.name) > maxName {
		to = appendRecord(to, "path", e.name)
	}
	if len(e.link) > maxName {
		to = appendRecord(to, "linkpath", e.link)
	}
	if e.size > maxOctal12 {
		to = appendRecord(to, "size", strconv.FormatInt(e.size, 10))
	}
	if e.uid > maxOctal8 {
		to = appendRecord(to, "uid", strconv.FormatUint(uint64(e.uid), 10))
	}
	if e.gid > maxOctal8 {
		to = appendRecord(to, "gid", strconv.FormatUint(uint64(e.gid), 10))
	}
	if e.nanos != 0 || e.seconds < 0 || e.seconds > maxOctal12 {
		to = appendRecord(to, "mtime", formatTime(e.seconds, e.nanos))
	}
	for _, x := range e.xattrs {
		to = appendRecord(to, "SCHILY.xattr."+x.name, string(x.value))
	}
	return to
}

// formatTime writes a time as PAX does, in decimal.
func formatTime(seconds, nanos int64) string {
	sign := ""
	if seconds < 0 && nanos > 0 {
		seconds, nanos = seconds+1, 1e9-nanos
		if seconds == 0 {
			sign = "-"
		}
	}
	text := strconv.AppendInt([]byte(sign), seconds, 10)
	if nanos > 0 {
		digits := strconv.FormatInt(1e9+nanos, 10)
		text = append(append(text, '.'), digits[1:]...)
	}
	return string(text)
}

// appendRecord appends "length key=value\n", whose length counts itself.
func appendRecord(to []byte, key, value string) []byte {
	rest := len(key) + len(value) + 3
	length := rest + 1
	for digits := len(strconv.Itoa(length)); rest+digits != length; digits = len(strconv.Itoa(length)) {
		length = rest + digits
	}
	to = strconv.AppendInt(to, int64(length), 10)
	to = append(append(to, ' '), key...)
	to = append(append(to, '='), value...)
	return append(to, '\n')
}

// appendUstar appends one block. What does not fit is cut: a record has it.
func appendUstar(to []byte, e *entry) []byte {
	start := len(to)
	to = append(to, make([]byte, blockSize)...)
	b := to[start:]
	name := e.name
	if e.real >= 0 {
		name = "GNUSparseFile.0/file"
	}
	copy(b[:maxName], name)
	octal(b[100:108], uint64(e.mode&0o7777))
	octal(b[108:116], fitting(uint64(e.uid), maxOctal8))
	octal(b[116:124], fitting(uint64(e.gid), maxOctal8))
	octal(b[124:136], fitting(uint64(e.size), maxOctal12))
	octal(b[136:148], fitting(uint64(max(0, e.seconds)), maxOctal12))
	b[156] = e.kind
	copy(b[157:157+maxName], e.link)
	copy(b[257:265], "ustar\x0000")
	if e.kind == '3' || e.kind == '4' {
		octal(b[329:337], uint64(e.major))
		octal(b[337:345], uint64(e.minor))
	}
	// The sum is of a block with blanks in its place.
	sum := uint64(8 * ' ')
	for _, c := range b {
		sum += uint64(c)
	}
	octal(b[148:155], sum)
	b[155] = ' '
	return to
}

func fitting(n, most uint64) uint64 {
	if n > most {
		return 0
	}
	return n
}

// octal fills a field with digits and a zero byte.
func octal(field []byte, n uint64) {
	for i := len(field) - 2; i >= 0; i-- {
		field[i] = '0' + byte(n&7)
		n >>= 3
	}
}

var zeros [64 << 10]byte

func appendPadding(to []byte, size int64) []byte { return append(to, zeros[:padding(size)]...) }

func padding(size int64) int64 { return -size & (blockSize - 1) }
