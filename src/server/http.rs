//! Plain HTTP/1.1 without sockets: heads in, requests out, responses as bytes.
