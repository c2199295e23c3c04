// Package network has the tests of what the network of boxes promises, with real boxes.
//
// The tests run as root, in a network of their own: TestMain puts the process into new
// namespaces, which a cable connects to a second network, that plays the Internet: name
// servers, HTTP, HTTPS and what a hostile program would like to reach. A tap on the cable
// sees everything that arrives there, so that a test can prove that nothing did. Nothing
// outside is reached, and nothing is left when the process ends.
package network
