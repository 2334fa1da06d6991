//! SCRAM against the example of RFC 7677, the same with SHA-512 as other implementations compute it, and what is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use super::*;

const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const CHALLENGE: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

/// The user of the RFC, whose credential is made of its salt.
fn users(hash: Hash) -> Users {
    let mut users = Users::default();
    users.add("user".to_owned(), "pencil".to_owned());
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    users.set_credential("user", hash, Credential::new(hash, "pencil", salt, 4_096));
    users
}

fn challenged() -> Challenged {
    challenge(&users(Hash::Sha256), Hash::Sha256, FIRST.as_bytes(), SERVER_NONCE).unwrap().0
}

#[test]
fn the_examples_come_out_to_the_byte() {
    let sha512_proof =
        "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
    let sha512_server =
        "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";
    let cases = [
        (Hash::Sha256, PROOF, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
        (Hash::Sha512, sha512_proof, sha512_server),
    ];
    for (hash, proof, server) in cases {
        let (challenged, answer) = challenge(&users(hash), hash, FIRST.as_bytes(), SERVER_NONCE).unwrap();
        assert_eq!(answer, CHALLENGE);
        let verified = challenged.verify(format!("{LAST},p={proof}").as_bytes()).unwrap();
        assert_eq!(verified, ("user".to_owned(), server.to_owned()));
    }
}

#[test]
fn what_is_no_first_message_or_of_nobody_is_refused() {
    let mistake = "different from username";
    let cases = [
        ("", None),
        ("n,,", None),
        ("n,,n=user", None),
        ("n,,n=user,r=", None),
        ("n,,n=user,r=a b", None),
        ("n,,n=,r=abc", None),
        ("n,,n=us=er,r=abc", None),
        ("n,,n=nobody,r=abc", None),
        ("y,,n=user,r=abc", None),
        ("p=tls-unique,,n=user,r=abc", None),
        ("n,,m=must,n=user,r=abc", None),
        ("n,a=other,n=user,r=abc", Some(mistake)),
    ];
    for (message, expected) in cases {
        let refused = challenge(&users(Hash::Sha256), Hash::Sha256, message.as_bytes(), SERVER_NONCE).err();
        match (refused.unwrap(), expected) {
            (Denied::Credentials, None) => {}
            (Denied::Mistake(why), Some(expected)) => assert!(why.contains(expected), "{why}"),
            other => panic!("{message}: {other:?}"),
        }
    }
}

#[test]
fn a_proof_that_is_wrong_in_any_way_is_refused() {
    let other_nonce = LAST.replace("$k0", "$k1");
    let cases = [
        String::new(),
        LAST.to_owned(),
        format!("{LAST},p="),
        format!("{LAST},p=!"),
        format!("{LAST},p=dHzb"),
        format!("{LAST},p={}", PROOF.replace("dHz", "dHy")),
        format!("{},p={PROOF}", LAST.replace("biws", "eSws")),
        format!("{other_nonce},p={PROOF}"),
        format!("{LAST},x=more,p={PROOF}"),
    ];
    for message in cases {
        assert_eq!(challenged().verify(message.as_bytes()), Err(Denied::Credentials), "{message}");
    }
}

#[test]
fn names_are_unescaped() {
    let cases =
        [("user", Some("user")), ("a=2Cb=3Dc", Some("a,b=c")), ("=3D=2C", Some("=,")), ("a=2cb", None)];
    for (name, expected) in cases {
        assert_eq!(unescaped(name).ok().as_deref(), expected, "{name}");
    }
}
