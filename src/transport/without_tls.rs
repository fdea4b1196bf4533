//! What stands for `tls` in a build without that feature.

pub(crate) mod terms {
    use crate::config::{Listen, TlsConfig};

    /// There are none.
    #[derive(Clone, Debug)]
    pub(crate) enum Terms {}

    impl Terms {
        /// # Errors
        /// Always.
        pub(crate) fn load(_: &TlsConfig) -> Result<Terms, String> {
            Err("this build has no TLS: build it with the feature `tls`".into())
        }

        pub(crate) fn at(&self, _: &Listen) -> Terms {
            match *self {}
        }
    }
}
