// Package console keeps what a virtual machine says: its guest's console in a file of
// bounded size ([File]), the end of it and of a program's standard error ([Tail]), and
// what of it is worth telling people ([LastWords], [LastLines], [LineWith]). Every
// engine uses it.
package console
