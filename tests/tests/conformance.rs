//! What a shared cache does with one exchange after the other: the origin says this, a client asks that, and so it is
//! answered. Every scenario runs twice, against the tower layer with time stepped and against a gateway over sockets;
//! those that let time pass run against the layer alone.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod conformance {
    mod fields;
    mod freshness;
    mod gaps;
    mod identity;
    mod over_layer;
    mod over_sockets;
    mod parts;
    mod refused;
    mod scenario;
    mod spellings;
    mod storing;
    mod targeted;
    mod validation;
    mod variants;
    mod writes;
}
