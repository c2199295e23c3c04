// Package audit keeps the log of what was done to the boxes of a home, and by
// which process. It is a folder with one file, and the one before it:
//
//	logs/audit.jsonl     a JSON object on each line: an [Event]
//	logs/audit.jsonl.1   the older file: audit.jsonl is renamed when it is full
//
// Any number of processes add to it and follow it at once. Whoever adds a line
// holds the file's lock (flock), so that lines stay whole, their times in order,
// and a file that has been renamed gets no more. Nothing is ever changed: the
// half line that a killed process or a full disk leaves is ended, and skipped by
// readers.
//
// A line is in the file, and safe from the death of all processes, when
// [Log.Append] returns. It is not synced: a host that loses power may lose the
// lines of its last seconds.
package audit
