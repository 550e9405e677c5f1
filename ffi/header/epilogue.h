#ifdef __cplusplus
}
#endif

#endif /* EVSTREAM_H */
