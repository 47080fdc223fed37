//! Authorities of one's own, whose certificates requests trust besides those of the host.

use std::{fs, path::Path};

use reqwest::Certificate;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Authorities that are trusted besides the host's.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<Certificate>);

impl Authorities {
    /// Reads a file of certificates in PEM; the error is a sentence.
    pub fn read(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let pem = fs::read(file).map_err(|error| {
            format!("{name}, the file of --request-ca, cannot be read: {error}")
        })?;
        let unusable =
            |reason: String| format!("{name}, the file of --request-ca, cannot be used: {reason}");
        let (mut read, mut store) = (Vec::new(), RootCertStore::empty());
        for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&pem)) {
            let of_this = |reason: String| unusable(format!("its certificate {number} {reason}"));
            let certificate = certificate.map_err(|error| of_this(format!("is none: {error}")))?;
            read.push(
                Certificate::from_der(&certificate)
                    .map_err(|error| of_this(format!("is none: {error}")))?,
            );
            store
                .add(certificate)
                .map_err(|error| of_this(format!("cannot be trusted: {error}")))?;
        }
        match read.is_empty() {
            true => Err(unusable("there is no certificate in it, in PEM".to_owned())),
            false => Ok(Self(read)),
        }
    }

    /// Their certificates.
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let refused = |content: Option<&str>| {
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
            }
            let said = Authorities::read(&file).unwrap_err();
            assert!(said.contains("ca.pem") && said.contains("--request-ca"), "{said}");
            said
        };
        assert!(refused(None).contains("cannot be read"));
        assert!(refused(Some("nothing")).contains("no certificate"));
        let block = |content| {
            format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
        };
        assert!(refused(Some(&block("bm90aGluZw=="))).contains("its certificate 1 cannot be"));
        assert!(refused(Some(&block("!"))).contains("its certificate 1 is none"));
    }
}
