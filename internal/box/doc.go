// Package box keeps the records of boxes: what was asked for, what state each
// is in, and who may change it.
//
// A [Store] is a folder with a folder for each box:
//
//	boxes/{id}/config.json   what was asked for; only the name ever changes
//	boxes/{id}/state.json    what is; replaced at each transition
//	boxes/{id}/lock          held by whoever changes the state
//	boxes/{id}/unrecorded    what the audit log does not have yet
//	boxes/.lock              held by whoever creates or renames a box, so that names are unique
//	boxes/.new-*, .gone-*    boxes half made or half deleted; removed when a Store is opened
//
// Any number of processes may use a Store at once. Reading needs no lock: files
// are replaced, never written over. To change a box's state, take its lock with
// [Store.Lock]; [Locked.Set] allows the transitions of one table only, and
// returns when the new state is on disk.
//
// Each change is recorded in the audit log of the home ([audit.Log]): before it
// happens if that can be refused, else after it. See [Locked.Set].
//
// # Boxes whose shim is gone
//
// A record may say that a box runs while its shim has ended or was killed.
// Whoever looks a box up puts that right: see [Locked] and exit.json, in which
// the shim writes how the run ended.
package box
