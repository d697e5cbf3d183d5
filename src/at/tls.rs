//! What a dialect keeps for TLS and the files on the modem.

/// A value that is there with the feature `tls` only.
#[derive(Clone, Copy, Debug)]
pub struct ForTls<T> {
    #[cfg(feature = "tls")]
    value: T,
    #[cfg(not(feature = "tls"))]
    value: core::marker::PhantomData<T>,
}

impl<T: Copy> ForTls<T> {
    /// Keeps `value`, if there is TLS.
    #[must_use]
    pub const fn new(value: T) -> Self {
        #[cfg(not(feature = "tls"))]
        let (_, value) = (value, core::marker::PhantomData);
        Self { value }
    }

    /// The value, if there is TLS.
    #[must_use]
    pub const fn get(&self) -> Option<&T> {
        #[cfg(feature = "tls")]
        return Some(&self.value);
        #[cfg(not(feature = "tls"))]
        return None;
    }

    /// The same to change it.
    pub const fn get_mut(&mut self) -> Option<&mut T> {
        #[cfg(feature = "tls")]
        return Some(&mut self.value);
        #[cfg(not(feature = "tls"))]
        return None;
    }
}
