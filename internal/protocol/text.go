package protocol

// Bytes returns strings for a message, which holds strings as bytes where they need
// not be UTF-8.
func Bytes(list []string) [][]byte {
	if list == nil {
		return nil
	}
	bytes := make([][]byte, len(list))
	for i, s := range list {
		bytes[i] = []byte(s)
	}
	return bytes
}

// Strings is the opposite of [Bytes].
func Strings(list [][]byte) []string {
	if list == nil {
		return nil
	}
	strings := make([]string, len(list))
	for i, b := range list {
		strings[i] = string(b)
	}
	return strings
}
